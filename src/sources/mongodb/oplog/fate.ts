import { applyUpdate } from './diff.ts'

/** What becomes of one document: its last state, or changes of a state that something before them has. */
export type Fate =
  | { readonly kind: 'is'; readonly document: Buffer }
  | { readonly kind: 'gone' }
  | { readonly kind: 'changed'; readonly updates: Buffer[] }

/** Both, one after the other. What is added to may be changed in its place. */
export function followed(before: Fate | undefined, next: Fate): Fate {
  if (before === undefined || next.kind !== 'changed') return next
  // Of a document that is gone: nothing is known of which it could be an update.
  if (before.kind === 'gone') return before
  if (before.kind === 'is') return { kind: 'is', document: next.updates.reduce(applyUpdate, before.document) }
  for (const update of next.updates) before.updates.push(update)
  return before
}
