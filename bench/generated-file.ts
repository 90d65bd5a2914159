import type { FileAnswer } from "../test/support/file-server.ts";

/** So many bytes that are made while they are taken: no file is held in memory. */
export function generated(bytes: number): FileAnswer {
  const block = Buffer.alloc(65_536, "A file that is somewhere else. ");
  return (_, response) => {
    let left = bytes;
    response.writeHead(200, { "content-length": bytes });
    const write = () => {
      while (left > 0 && !response.destroyed) {
        const piece = block.subarray(0, Math.min(left, block.length));
        left -= piece.length;
        if (!response.write(piece)) break;
      }
      if (left === 0) response.end();
    };
    response.on("drain", write);
    write();
  };
}
