/** Name of a stored object: 64 lower-case hex digits of a SHA-256. */
export type Id = string

export const ID_BYTES = 32

const pattern = /^[0-9a-f]{64}$/

export const isId = (text: string): text is Id => pattern.test(text)

/** The eight digits people read and type. */
export const shortId = (id: Id): string => id.slice(0, 8)
