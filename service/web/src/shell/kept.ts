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

/** Tell of what another tab of this browser keeps, for as long as the page is there. */
export function whenKept(key: string, told: () => void): void {
  addEventListener('storage', (event) => {
    if (event.key === key || event.key === null) told(); // null: everything was cleared
  });
}

export function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // nothing depends on it
  }
}
