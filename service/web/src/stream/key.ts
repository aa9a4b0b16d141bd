/**
 * A key that nobody else has, for a question that may have to be posted twice.
 *
 * `crypto.randomUUID` is missing where the page came over plain HTTP from another machine, as it
 * does to a phone in the same network.
 */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
