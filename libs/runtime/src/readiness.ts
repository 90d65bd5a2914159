type Facts = {
  /** Aborted when the process has begun to stop. */
  stopping: AbortSignal;
  /** False when this process has for long not been able to write that it lives. */
  stands(): boolean;
  /** Throws when the file cannot be written now. It writes: ask it coalesced where anyone may ask. */
  checkWritable(): Promise<void>;
};

/** What /readyz of every process says: null is ready, a text is why not. */
export async function whyNotReady({ stopping, stands, checkWritable }: Facts): Promise<string | null> {
  if (stopping.aborted) return "draining";
  // The check takes its write back; that others reach the disk, a full one too, is shown by this process's beats.
  if (!stands()) return "the database has not taken a write for too long";
  try {
    await checkWritable();
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
