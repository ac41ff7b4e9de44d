/**
 * JSON as Go's encoder prints it: compact, keys in the order given, `<`, `>`, `&` and the line separators escaped, halves of surrogate
 * pairs replaced. What programs written for restic read, and what snapshots and locks are stored as.
 *
 * Fields that are undefined are left out. Numbers must be whole and below 10^21: others Go writes differently. `indent` spaces put each
 * field on a line of its own.
 */
export function goJson(value: unknown, indent = 0): string {
  const wellFormed = (_: string, part: unknown): unknown => (typeof part === 'string' ? part.toWellFormed() : part)
  const text = JSON.stringify(value, wellFormed, indent)
  return text.replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
