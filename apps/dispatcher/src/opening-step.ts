import type SMTPConnection from "nodemailer/lib/smtp-connection";
import { timerMs } from "./longest-timer.ts";

/** What nodemailer says of a failure. */
export type SmtpError = Error & {
  code?: string;
  originalCode?: string;
  command?: string;
  response?: string;
  responseCode?: number;
  timeoutType?: string;
};

/**
 * One step of opening a session that surely ends: by its callback, by an error or the end of the connection (nodemailer
 * answers some of these by event only), or by its deadline, which closes the connection.
 */
export function openingStep(
  smtp: SMTPConnection,
  withinMs: number,
  begin: (done: (error?: SmtpError | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: SmtpError | null) => {
      clearTimeout(timer);
      smtp.off("error", finish);
      smtp.off("end", onEnd);
      if (error) reject(error);
      else resolve();
    };
    // The callback may still follow the end, with the better reason.
    const onEnd = () => setImmediate(() => finish(new Error("the connection was closed")));
    const onDeadline = () => {
      finish(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" }));
      smtp.close();
    };
    const timer = setTimeout(onDeadline, timerMs(withinMs));
    smtp.once("error", finish);
    smtp.once("end", onEnd);
    begin(finish);
  });
}
