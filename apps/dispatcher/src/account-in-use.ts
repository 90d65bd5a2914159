import { type Account, DEFAULT_ACCOUNT_ID } from "@async-mail/domain/account";

/** The account as it is used: the configuration's own one has its password only there. */
export function accountInUse(account: Account, configured: Account | null): Account {
  return account.id === DEFAULT_ACCOUNT_ID && configured !== null ? configured : account;
}
