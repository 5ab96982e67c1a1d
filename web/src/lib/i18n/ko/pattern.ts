/** A number inside a sentence. */
export const N = '(\\d+)';
/** Anything inside a sentence. */
export const X = '(.+?)';

/** What the service says, and how it is said in Korean. $1, $2 are the parts in brackets. */
export type Said = [RegExp, string];

/** A whole sentence, with its full stop or without. */
export function of(pattern: string): RegExp {
  return new RegExp(`^${pattern}\\.?$`, 'i');
}
