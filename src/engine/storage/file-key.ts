import type { FileRef } from './storage.ts'

/** A file as one string, unlike `describeFile` without loss: for maps and sets. */
export const fileKey = (file: FileRef): string => (file.kind === 'config' ? 'config' : `${file.kind}/${file.name}`)
