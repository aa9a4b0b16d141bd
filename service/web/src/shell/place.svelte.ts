/** Which page is shown: the address's part after `#/`, so that every page is served by `/`. */

export const PAGES = ['playground', 'compare', 'providers', 'costs'] as const;

export type Page = (typeof PAGES)[number];

class Place {
  page = $state<Page>(named());

  constructor() {
    addEventListener('hashchange', () => (this.page = named()));
  }
}

export const place = new Place();

function named(): Page {
  const name = location.hash.replace(/^#\/?/, '').split('?')[0];
  return PAGES.find((page) => page === name) ?? 'playground';
}
