/**
 * What this browser keeps of the page. Where it keeps nothing (storage is forbidden, or full) the
 * page works all the same, and begins anew each time.
 */

export function kept(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // nothing depends on it
  }
}
