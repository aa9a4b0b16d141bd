/** The words, in English: the shape that every other language has to have. */
export const en = {
  name: 'English',
  app: {
    title: 'Tailrace',
    skip: 'Skip to the content',
    pages: 'Pages',
    language: 'Language',
    theme: 'Appearance',
    system: 'System',
    light: 'Light',
    dark: 'Dark',
  },
  page: {
    playground: 'Playground',
    compare: 'Compare',
    providers: 'Providers',
    costs: 'Costs',
  },
  common: {
    loading: 'Loading…',
    retry: 'Try again',
    unknown: 'unknown',
    failed: 'That did not work: {message}',
  },
};

export type Words = typeof en;
