import { spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, copyFileSync, cpSync, globSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Copy, DockerfileParser, type Instruction } from "dockerfile-ast";
import { ROOT } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/**
 * What `docker build` makes of the Dockerfile, where no engine is at hand: each step is done in a view of this machine's
 * own files in which whatever it writes goes to a folder of its own. So the base image is this machine, with the Node
 * that runs the test; what the steps add is as in the real image.
 */
export type Image = {
  /** What the steps have added and changed, as seen from `/`. */
  files: string;
  workdir: string;
  user: string;
  env: Record<string, string>;
  command: string[];
  healthcheck: string[];
  volumes: string[];
  stopSignal: string;
};

/** The user `node` of the base image. */
export const NODE_UID = 1000;

/** Why the tests are skipped where this is false. */
export const NO_VIEWS =
  "making views of the file system is not permitted here: only root may, and not in every container";

/** The script that mounts a view: $1 what lies over this machine's files, $2 room for the kernel, $3 where it appears. */
export const MOUNT_VIEW = `
  mount -t overlay overlay -o "lowerdir=/,upperdir=$1,workdir=$2" "$3"
  mount -t proc proc "$3/proc"
  mount --rbind /dev "$3/dev"
`;

export function canMakeViews(): boolean {
  const folders = Array.from({ length: 3 }, temporaryFolder);
  return spawnSync("unshare", ["--mount", "sh", "-euc", MOUNT_VIEW, "sh", ...folders]).status === 0;
}

/** Throws with the output of a step that fails, and of any step that it does not know. */
export function buildImage(): Image {
  const context = contextFolder();
  const stages = new Map<string, Image>();
  let image: Image | null = null;
  for (const instruction of DockerfileParser.parse(readFileSync(join(ROOT, "Dockerfile"), "utf8")).getInstructions()) {
    if (instruction.getKeyword() === "FROM") {
      image = baseImage(words(instruction)[0]!);
      stages.set(words(instruction)[2] ?? "", image);
    } else take(instruction, image!, context, stages);
  }
  return image!;
}

/** Its root is everybody's to read, as `/` is. */
export function layerFolder(): string {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  return folder;
}

function baseImage(name: string): Image {
  const major = process.versions.node.split(".")[0];
  if (!name.startsWith(`node:${major}-`)) throw new Error(`${name} has another Node than this test: ${major}`);
  const files = layerFolder();
  mkdirSync(join(files, "usr/local/bin"), { recursive: true });
  copyFileSync(process.execPath, join(files, "usr/local/bin/node"));
  mkdirSync(join(files, "etc"));
  for (const name of ["passwd", "group"]) copyFileSync(join("/etc", name), join(files, "etc", name));
  appendFileSync(join(files, "etc/passwd"), `node:x:${NODE_UID}:${NODE_UID}::/home/node:/bin/sh\n`);
  appendFileSync(join(files, "etc/group"), `node:x:${NODE_UID}:\n`);
  const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" };
  return { files, workdir: "/", user: "root", env, command: [], healthcheck: [], volumes: [], stopSignal: "SIGTERM" };
}

function take(instruction: Instruction, image: Image, context: string, stages: Map<string, Image>): void {
  const given = words(instruction);
  const text = instruction.getArgumentsContent() ?? "";
  switch (instruction.getKeyword()) {
    case "WORKDIR":
      image.workdir = given[0]!;
      return void mkdirSync(join(image.files, image.workdir), { recursive: true });
    case "COPY":
      copy(instruction as Copy, image, context, stages);
      return;
    case "RUN":
      run(text, image);
      return;
    case "ENV":
      for (const pair of given) image.env[pair.split("=")[0]!] = pair.slice(pair.indexOf("=") + 1);
      return;
    case "USER":
      image.user = given[0]!;
      return;
    case "VOLUME":
      return void image.volumes.push(...given);
    case "STOPSIGNAL":
      image.stopSignal = given[0]!;
      return;
    case "HEALTHCHECK":
      image.healthcheck = JSON.parse(text.slice(text.indexOf("[")));
      return;
    case "CMD":
      image.command = JSON.parse(text);
      return;
    case "EXPOSE":
      return;
    default:
      throw new Error(`this test does not know ${instruction.getKeyword()}`);
  }
}

function words(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue());
}

function copy(instruction: Copy, image: Image, context: string, stages: Map<string, Image>): void {
  const from = instruction.getFromFlag()?.getValue();
  const root = from ? stages.get(from)!.files : context;
  const given = words(instruction);
  const target = join(image.files, resolve(image.workdir, given.at(-1)!));
  for (const path of given.slice(0, -1)) {
    const source = join(root, path);
    // Of a folder Docker copies what is in it.
    const into = given.at(-1)!.endsWith("/") && !statSync(source).isDirectory() ? join(target, basename(path)) : target;
    cpSync(source, into, { recursive: true, verbatimSymlinks: true });
  }
}

function run(text: string, image: Image): void {
  const script = `${MOUNT_VIEW}\n exec chroot "$3" /bin/sh -euc "cd '$4' && $5"`;
  const { status, stdout, stderr } = spawnSync(
    "unshare",
    ["--mount", "sh", "-euc", script, "sh"].concat(
      [image.files, temporaryFolder(), temporaryFolder()],
      [image.workdir, text],
    ),
    { encoding: "utf8", env: { ...process.env, ...image.env } },
  );
  if (status !== 0) throw new Error(`RUN ${text}\n${stdout}\n${stderr}`);
}

/** What .dockerignore leaves of the checkout. */
function contextFolder(): string {
  const lines = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  const rules = lines.filter((line) => line !== "" && !line.startsWith("#"));
  const kept = rules.filter((rule) => rule.startsWith("!")).map((rule) => rule.slice(1));
  const nowhere = rules.filter((rule) => rule.startsWith("**/")).map((rule) => rule.slice(3));
  if (rules[0] !== "*" || rules.length !== 1 + kept.length + nowhere.length)
    throw new Error("this test knows of .dockerignore only *, !name and **/name");
  const folder = temporaryFolder();
  for (const name of kept)
    cpSync(join(ROOT, name), join(folder, name), {
      recursive: true,
      filter: (path) => !nowhere.some((one) => path.endsWith(`/${one}`)),
    });
  return folder;
}

/** Every file that the image adds below its working directory, relative to it. */
export function addedFiles({ files, workdir }: Image): string[] {
  return globSync("**", { cwd: join(files, workdir) });
}
