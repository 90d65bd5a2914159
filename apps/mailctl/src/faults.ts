/** What a command cannot do, in one sentence that says what is wanted; `exitCode` is what scripts see of it. */
export abstract class CommandFault extends Error {
  abstract readonly exitCode: number;
}

/** The service, or the machine, said no; or part of what was asked for was not done. */
export class Refused extends CommandFault {
  override name = "Refused";
  override exitCode = 1;
}

/** The command line is not one that means something. */
export class WrongUsage extends CommandFault {
  override name = "WrongUsage";
  override exitCode = 2;
}

/** Nobody answers there, or not in time. */
export class Unreachable extends CommandFault {
  override name = "Unreachable";
  override exitCode = 3;
}
