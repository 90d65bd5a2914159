/** What a mail server that agrees to everything says to the steps of a message, and at the end. */
export const USUAL_REPLIES = {
  MAIL: "250 2.1.0 Ok",
  RCPT: "250 2.1.5 Ok",
  DATA: "354 Go on",
  ".": "250 2.0.0 Taken",
  RSET: "250 2.0.0 Ok",
  QUIT: "221 2.0.0 Bye",
};
