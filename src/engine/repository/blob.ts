/** `data` blobs hold file content, `tree` blobs hold directories. A blob's identity is its type together with its id. */
export type BlobType = 'data' | 'tree'

export const blobTypes: readonly BlobType[] = ['data', 'tree']

/** Where a blob lies: bytes [offset, offset + length) of a pack, sealed. */
export interface BlobLocation {
  readonly pack: string
  readonly offset: number
  /** Stored bytes, including the overhead of sealing. */
  readonly length: number
  /** Plaintext bytes when the blob is compressed; 0 when it is stored as it is. */
  readonly uncompressedLength: number
}
