// TypeScript's library does not declare it yet.
const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }

/**
 * One line of JSON with a line feed. 64-bit integers are bigints and are written as plain numbers, as Go does; fields that are undefined
 * are left out.
 */
export const jsonLine = (value: unknown): string =>
  `${JSON.stringify(value, (_, field: unknown) => (typeof field === 'bigint' ? rawJSON(String(field)) : field))}\n`
