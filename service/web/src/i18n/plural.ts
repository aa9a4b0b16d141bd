/** Sentences with a count in them: which form a language gives to how many. */

/** A form for each category that the language has; CLDR's names (`one`, `many`, `other`). */
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

/** A sentence's forms, in any language: what `typeof en` has to be for the others to differ. */
export function forms(given: Forms): Forms {
  return given;
}

/** The form for a count; `other` where nobody knows how many. */
export function form(given: Forms, count: number | null | undefined, language: string): string {
  if (count === null || count === undefined) return given.other;
  return given[new Intl.PluralRules(language).select(count)] ?? given.other;
}
