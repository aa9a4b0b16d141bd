/** Whether an address may be a link: a model may name any, and some of them run. */
export function web(address: string | undefined): address is string {
  return address !== undefined && /^https?:\/\//i.test(address);
}
