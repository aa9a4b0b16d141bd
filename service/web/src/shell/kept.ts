/**
 * What this browser keeps of the page. Where it keeps nothing (storage is forbidden, or full) the
 * page works all the same, and begins anew each time.
 */

/** For all tabs and visits, or for one tab. */
export type Where = 'localStorage' | 'sessionStorage';

export function kept(key: string, where: Where = 'localStorage'): string | null {
  try {
    return globalThis[where].getItem(key);
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

/** Keep it; whether there was room. */
export function keep(key: string, value: string, where: Where = 'localStorage'): boolean {
  try {
    globalThis[where].setItem(key, value);
    return true;
  } catch {
    return false;
  }
}
