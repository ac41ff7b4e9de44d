import { HoldfastError } from '../../../lib/errors.ts'
import type { Renaming } from '../../restore.ts'
import { isDatabaseName, type Namespace, namespaceText, parseNamespace } from '../names.ts'
import { namespaceFilter } from '../selection.ts'

/** Where collections of a snapshot go. */
export interface RestoreSelection {
  /** Undefined for what is not to be restored. */
  targetOf(namespace: Namespace): Namespace | undefined
  /** Whether all goes where it was. */
  readonly isWhole: boolean
}

export interface SelectionWords {
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  readonly rename: readonly Renaming[]
}

/**
 * Understands what a restore names: patterns of namespaces, and renamings of databases (`shop=shop_old`) or collections
 * (`shop.orders=shop.orders_old`), of which one of a collection counts more.
 * @throws HoldfastError HF_PATTERN_INVALID
 */
export function restoreSelection({ include, exclude, rename }: SelectionWords): RestoreSelection {
  const isSelected = namespaceFilter(include, exclude)
  const databases = new Map<string, string>()
  const collections = new Map<string, Namespace>()
  for (const { from, to } of rename) {
    const source = parseNamespace(from)
    const target = parseNamespace(to)
    if (source !== undefined && target !== undefined) collections.set(from, target)
    else if (isDatabaseName(from) && isDatabaseName(to)) databases.set(from, to)
    else
      throw new HoldfastError('HF_PATTERN_INVALID', `${from}=${to} renames neither a database nor a collection`, {
        hint: 'write shop=shop_old or shop.orders=shop.orders_old',
      })
  }
  return {
    isWhole: include.length === 0 && exclude.length === 0 && rename.length === 0,
    targetOf: (namespace) => {
      if (!isSelected(namespace)) return undefined
      const { database, collection } = namespace
      return collections.get(namespaceText(namespace)) ?? { database: databases.get(database) ?? database, collection }
    },
  }
}
