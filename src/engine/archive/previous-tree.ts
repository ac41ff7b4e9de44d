import type { Id } from '../../lib/id.ts'
import { decodeTree } from '../repository/tree/decode-tree.ts'
import type { ByteString, Node } from '../repository/tree/node.ts'

const none: readonly Node[] = []

/** A directory as the parent snapshot has it; decoded when somebody asks for its nodes. */
export class PreviousTree {
  /** The tree blob. */
  readonly bytes: Uint8Array | undefined
  readonly id: Id | undefined
  readonly #onDamage: (error: unknown) => void
  #nodes: readonly Node[] | undefined
  #at = 0

  private constructor(
    bytes: Uint8Array | undefined,
    nodes: readonly Node[] | undefined,
    id: Id | undefined,
    onDamage: (error: unknown) => void,
  ) {
    this.bytes = bytes
    this.#nodes = nodes
    this.id = id
    this.#onDamage = onDamage
  }

  /** There was no such directory, or it cannot be read. */
  static readonly absent: PreviousTree = new PreviousTree(undefined, none, undefined, () => undefined)

  /** `onDamage` is told when it cannot be decoded, which makes it an empty one. */
  static ofBytes(bytes: Uint8Array, id: Id, onDamage: (error: unknown) => void): PreviousTree {
    return new PreviousTree(bytes, undefined, id, onDamage)
  }

  get nodes(): readonly Node[] {
    this.#nodes ??= this.#decode()
    return this.#nodes
  }

  /** Finds nodes by name when asked in ascending order. */
  find(name: ByteString): Node | undefined {
    const { nodes } = this
    while (this.#at < nodes.length && nodes[this.#at]!.name < name) this.#at++
    const node = nodes[this.#at]
    return node?.name === name ? node : undefined
  }

  #decode(): readonly Node[] {
    try {
      return this.bytes === undefined ? none : decodeTree(this.bytes, this.id).nodes
    } catch (error) {
      this.#onDamage(error)
      return none
    }
  }
}
