import type { StoreFeatures } from '../features.ts'
import { type CallOptions, describeFile, type FileRef } from '../storage.ts'

/** Makes a call of a feature in a layer's own way. `call` is for people: `retain data/ab12cd34`. */
export type AroundCall = <T>(call: string, options: CallOptions | undefined, work: () => Promise<T>) => Promise<T>

/** Lists in a layer's own way. */
export type AroundList = <T>(
  call: string,
  options: CallOptions | undefined,
  list: () => AsyncIterable<T>,
) => AsyncIterable<T>

/** The same features, with a layer around each of their calls; what a store lacks stays absent. */
export function aroundFeatures(features: StoreFeatures, around: AroundCall, aroundList: AroundList): StoreFeatures {
  const { retention, versions, classes, freeBytes, examine, isPublic, removeLayout } = features
  const of = (what: string, file: FileRef): string => `${what} ${describeFile(file)}`
  return {
    ...(retention && {
      retention: {
        written: retention.written,
        get: (file, options) =>
          around(of('look at the retention of', file), options, () => retention.get(file, options)),
        extend: (file, untilMs, options) =>
          around(of('retain', file), options, () => retention.extend(file, untilMs, options)),
        setLegalHold: (file, isHeld, options) =>
          around(of('hold', file), options, () => retention.setLegalHold(file, isHeld, options)),
      },
    }),
    ...(versions && {
      versions: {
        ...(versions.hidden && { hidden: () => versions.hidden!() }),
        listDeleted: (kind, options) =>
          aroundList(`list deleted ${kind}`, options, () => versions.listDeleted(kind, options)),
        undelete: (file, options) => around(of('undelete', file), options, () => versions.undelete(file, options)),
      },
    }),
    ...(classes && {
      classes: {
        ...(classes.bringsBack && { bringsBack: classes.bringsBack }),
        ...(classes.archiveHint !== undefined && { archiveHint: classes.archiveHint }),
        list: (options) => aroundList('list classes', options, () => classes.list(options)),
        state: (file, options) => around(of('look at the class of', file), options, () => classes.state(file, options)),
        requestRestore: (file, days, options) =>
          around(of('bring back', file), options, () => classes.requestRestore(file, days, options)),
      },
    }),
    ...(freeBytes && { freeBytes: (options) => around('look at the free space', options, () => freeBytes(options)) }),
    ...(examine && { examine: (options) => around('examine', options, () => examine(options)) }),
    ...(isPublic && {
      isPublic: (file, options) => around(of('read as a stranger', file), options, () => isPublic(file, options)),
    }),
    ...(removeLayout && {
      removeLayout: (options) => around('remove the folders', options, () => removeLayout(options)),
    }),
  }
}
