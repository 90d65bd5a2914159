/**
 * Providers of mailboxes whose SMTP host follows from the address, so that user and password are enough. The same as
 * nodemailer knows (a test compares them); kept here since every process must find the faults of its configuration.
 */
const providers: [host: string, port: number, ...domains: string[]][] = [
  ["smtp.aliyun.com", 465, "aliyun.com"],
  ["smtp.aol.com", 587, "aol.com"],
  ["smtps.aruba.it", 465, "aruba.it", "pec.aruba.it"],
  ["smtpauths.bluewin.ch", 465, "bluewin.ch"],
  ["smtp.bol.com.br", 587, "bol.com.br"],
  ["disroot.org", 587, "disroot.org"],
  ["smtp.seznam.cz", 465, "email.cz", "post.cz", "seznam.cz", "spoluzaci.cz"],
  ["smtp.ethereal.email", 587, "ethereal.email"],
  ["mail.infomaniak.com", 587, "etik.com", "ik.me", "ikmail.com"],
  ["smtp.exmail.qq.com", 465, "exmail.qq.com"],
  ["smtp.fastmail.com", 465, "fastmail.com", "fastmail.fm"],
  ["smtp.forwardemail.net", 465, "forwardemail.net"],
  ["smtp.gmail.com", 465, "gmail.com", "googlemail.com"],
  ["mail.gmx.com", 587, "gmx.com", "gmx.de", "gmx.net"],
  ["mail.hot.ee", 587, "hot.ee"],
  ["smtp-mail.outlook.com", 587, "hotmail.com", "outlook.com"],
  ["smtp.mail.me.com", 587, "icloud.com", "mac.com", "me.com"],
  ["smtp.kolabnow.com", 465, "kolabnow.com"],
  ["smtp.mail.ee", 587, "mail.ee"],
  ["smtp.mail.ru", 465, "mail.ru"],
  ["smtp.openmailbox.org", 465, "openmailbox.org"],
  ["smtp.protonmail.ch", 587, "pm.me", "proton.me", "protonmail.ch", "protonmail.com"],
  ["smtp.qq.com", 465, "qq.com"],
  ["smtp.runbox.com", 465, "runbox.com"],
  ["smtp.sparkpostmail.com", 587, "sparkpost.com"],
  ["smtp.tutanota.com", 465, "tuta.com", "tuta.io", "tutanota.com", "tutanota.de"],
  ["smtp.mail.yahoo.com", 465, "yahoo.com"],
  ["smtp.yandex.ru", 465, "yandex.ru"],
];

/** The SMTP host of the provider of this mailbox; null when nobody knows. */
export function providerOf(user: string): { host: string; port: number } | null {
  const domain = user.split("@").at(-1)?.toLowerCase() ?? "";
  const provider = user.includes("@") && providers.find(([, , ...domains]) => domains.includes(domain));
  return provider ? { host: provider[0], port: provider[1] } : null;
}

/** Every domain above; for the test. */
export function providerDomains(): string[] {
  return providers.flatMap(([, , ...domains]) => domains);
}
