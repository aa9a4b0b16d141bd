import type { Words } from './en.ts';

/** The words, in French. */
export const fr: Words = {
  name: 'Français',
  app: {
    title: 'Tailrace',
    skip: 'Aller au contenu',
    pages: 'Pages',
    language: 'Langue',
    theme: 'Apparence',
    system: 'Système',
    light: 'Claire',
    dark: 'Sombre',
  },
  page: {
    playground: 'Banc d’essai',
    compare: 'Comparer',
    providers: 'Fournisseurs',
    costs: 'Coûts',
  },
  common: {
    loading: 'Chargement…',
    retry: 'Réessayer',
    unknown: 'inconnu',
    failed: 'Échec : {message}',
  },
};
