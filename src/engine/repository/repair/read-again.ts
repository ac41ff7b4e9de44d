import { isHoldfastError } from '../../../lib/errors.ts'

/**
 * Reads, and once more when what came looks damaged: the failure may lie on the way rather than in the storage, and a repair gives up for
 * good what it takes for damaged.
 */
export async function readAgain<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read()
  } catch (error) {
    if (!isHoldfastError(error, 'HF_PACK_DAMAGED', 'HF_TREE_INVALID', 'HF_STORAGE_SHORT')) throw error
    return await read()
  }
}
