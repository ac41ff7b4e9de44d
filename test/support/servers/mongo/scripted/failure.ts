import { doc } from './bson.ts'

/** Names that MongoDB's error_codes.yml gives the codes this server answers with. */
const CODE_NAMES: Readonly<Record<number, string>> = {
  1: 'InternalError',
  2: 'BadValue',
  9: 'FailedToParse',
  11: 'UserNotFound',
  13: 'Unauthorized',
  14: 'TypeMismatch',
  18: 'AuthenticationFailed',
  20: 'IllegalOperation',
  23: 'AlreadyInitialized',
  26: 'NamespaceNotFound',
  27: 'IndexNotFound',
  31: 'RoleNotFound',
  43: 'CursorNotFound',
  48: 'NamespaceExists',
  50: 'MaxTimeMSExpired',
  59: 'CommandNotFound',
  64: 'WriteConcernFailed',
  66: 'ImmutableField',
  67: 'CannotCreateIndex',
  72: 'InvalidOptions',
  73: 'InvalidNamespace',
  76: 'NoReplicationEnabled',
  85: 'IndexOptionsConflict',
  86: 'IndexKeySpecsConflict',
  91: 'ShutdownInProgress',
  93: 'InvalidReplicaSetConfig',
  94: 'NotYetInitialized',
  96: 'OperationFailed',
  112: 'WriteConflict',
  121: 'DocumentValidationFailure',
  123: 'NotAReplicaSet',
  136: 'CappedPositionLost',
  166: 'CommandNotSupportedOnView',
  175: 'QueryPlanKilled',
  189: 'PrimarySteppedDown',
  197: 'InvalidIndexSpecificationOption',
  225: 'TransactionTooOld',
  237: 'CursorKilled',
  239: 'SnapshotTooOld',
  246: 'SnapshotUnavailable',
  251: 'NoSuchTransaction',
  263: 'OperationNotSupportedInTransaction',
  286: 'ChangeStreamHistoryLost',
  303: 'APIMismatchError',
  10003: 'CannotGrowDocumentInCappedNamespace',
  10107: 'NotWritablePrimary',
  10334: 'BSONObjectTooLarge',
  11000: 'DuplicateKey',
  11600: 'InterruptedAtShutdown',
  11602: 'InterruptedDueToReplStateChange',
  13388: 'StaleConfig',
  13435: 'NotPrimaryNoSecondaryOk',
  13436: 'NotPrimaryOrSecondary',
}

/** The name of an error code, as servers put it beside the code. */
export const codeName = (code: number): string => CODE_NAMES[code] ?? `Location${code}`

export interface FailureDetails {
  readonly labels?: readonly string[]
  /** Further fields of the reply, such as keyPattern and keyValue. */
  readonly fields?: Readonly<Record<string, unknown>>
}

/** A command that fails with an error code of MongoDB. */
export class MongoFailure extends Error {
  override readonly name = 'MongoFailure'
  readonly code: number
  readonly labels: readonly string[]
  readonly fields: Readonly<Record<string, unknown>>

  constructor(code: number, message: string, { labels = [], fields = {} }: FailureDetails = {}) {
    super(message)
    this.code = code
    this.labels = labels
    this.fields = fields
  }

  /** The fields of a reply that says so. */
  reply(): Readonly<Record<string, unknown>> {
    const { message, code } = this
    return {
      ok: 0,
      errmsg: message,
      code,
      codeName: codeName(code),
      ...this.fields,
    }
  }

  /** As an item of `writeErrors`. */
  writeError(index: number): Buffer {
    return doc({ index, code: this.code, errmsg: this.message, ...this.fields })
  }
}
