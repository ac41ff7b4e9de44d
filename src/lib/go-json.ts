/**
 * JSON as Go's encoder prints it: compact, keys in the order given, `<`, `>`, `&` and the line separators escaped, halves of surrogate
 * pairs replaced. What programs written for restic read, and what snapshots and locks are stored as.
 *
 * Fields that are undefined are left out. Numbers must be whole and below 10^21: others Go writes differently.
 */
export function goJson(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === 'string' ? part.toWellFormed() : part))
  return text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
