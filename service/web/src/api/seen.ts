/** Asking only while somebody may look: a tab that is hidden asks for nothing. */

/**
 * Begin now, if the page is seen, and at once whenever it is seen again.
 *
 * What `begin` returns ends it: when the page is hidden, and when what is returned here is called.
 */
export function whileSeen(begin: () => () => void): () => void {
  let end: (() => void) | undefined;
  const look = (): void => {
    if (!document.hidden) {
      end ??= begin();
      return;
    }
    end?.();
    end = undefined;
  };
  document.addEventListener('visibilitychange', look);
  look();
  return () => {
    document.removeEventListener('visibilitychange', look);
    end?.();
  };
}
