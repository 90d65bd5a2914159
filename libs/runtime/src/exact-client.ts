import { Client, type Dispatcher } from "undici";

/** More came than Content-Length said. */
export class LongerThanAnnounced extends Error {
  override name = "LongerThanAnnounced";
  readonly code = "LONGER_THAN_ANNOUNCED";

  constructor() {
    super("the answer is longer than its Content-Length");
  }
}

/**
 * A connection whose answers fail when more comes than was announced: RFC 9112 §9.2 lets a client see in that a wrong
 * Content-Length, and then the answer was cut. Seen on connections that are kept only, and only of what comes with the
 * answer's end: on the others the rest is thrown away with the connection.
 */
export class ExactClient extends Client {
  #faultAfterEnd: Error | null = null;

  constructor(...given: ConstructorParameters<typeof Client>) {
    super(...given);
    this.on("disconnect", (_origin, _targets, error) => {
      this.#faultAfterEnd = error;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    return super.dispatch(options, {
      onRequestStart: (...given) => handler.onRequestStart?.(...given),
      onRequestUpgrade: (...given) => handler.onRequestUpgrade?.(...given),
      onResponseStart: (...given) => handler.onResponseStart?.(...given),
      onResponseData: (...given) => handler.onResponseData?.(...given),
      onResponseError: (...given) => handler.onResponseError?.(...given),
      onResponseEnd: (controller, trailers) => {
        this.#faultAfterEnd = null;
        twoTurnsLater(() => {
          if (isExcess(this.#faultAfterEnd)) handler.onResponseError?.(controller, new LongerThanAnnounced());
          else handler.onResponseEnd?.(controller, trailers);
        });
      },
    });
  }
}

/** What follows the end in the same packet is met at once, but the connection closed for it is told a turn later. */
function twoTurnsLater(run: () => void): void {
  setImmediate(() => setImmediate(run));
}

/** What follows an answer is read as the next one, which nobody has asked for; a mere end of the connection is none. */
function isExcess(error: Error | null): boolean {
  return error?.name === "HTTPParserError" || error?.message === "bad response";
}
