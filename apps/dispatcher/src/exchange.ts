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
  rejectedErrors?: SmtpError[];
  recipient?: string;
};

export type Exchange<T> = {
  /** The latest moment of the step that runs now; set again for each step. */
  within(ms: number): void;
  done(error?: SmtpError | null, value?: T): void;
};

/**
 * One exchange with the server that surely ends: by its callback, by an error or the end of the connection (nodemailer
 * answers some of these by event only), or by its deadline, which closes the connection.
 */
export function exchange<T>(
  smtp: SMTPConnection,
  firstMs: number,
  begin: (exchange: Exchange<T>) => void,
): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout;
    let over = false;
    const finish = (error?: SmtpError | null, value?: T) => {
      over = true;
      clearTimeout(timer);
      smtp.off("error", finish);
      smtp.off("end", onEnd);
      if (error) reject(error);
      else resolve(value);
    };
    // The callback may still follow the end, with the better reason.
    const onEnd = () => setImmediate(() => finish(new Error("the connection was closed")));
    const onDeadline = () => {
      finish(Object.assign(new Error("no answer in time"), { code: "ETIMEDOUT" }));
      smtp.close();
    };
    const within = (ms: number) => {
      clearTimeout(timer);
      if (!over) timer = setTimeout(onDeadline, timerMs(ms));
    };
    within(firstMs);
    smtp.once("error", finish);
    smtp.once("end", onEnd);
    begin({ within, done: finish });
  });
}
