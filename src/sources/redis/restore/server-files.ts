import type { RedisManifest } from '../manifest.ts'
import { versionNumbers } from '../server.ts'
import type { ServerRecord } from '../server-record.ts'

/** How a server names its files in its `dir`. */
export interface ServerFiles {
  /** `dbfilename`: what a server with `appendonly no` loads. */
  readonly dump: string
  /** What a server with `appendonly yes` loads, and nothing else. */
  readonly appendOnly: AppendOnlyFiles
}

export type AppendOnlyFiles =
  /** Since Redis 7.0: a folder (`appenddirname`) with a base file and a manifest. */
  | {
      readonly kind: 'folder'
      readonly folder: string
      readonly base: string
      readonly manifest: string
      readonly text: string
    }
  /** Before: one file (`appendfilename`), which may begin as an RDB file. */
  | { readonly kind: 'file'; readonly file: string }

const FIRST_WITH_FOLDER = 7

/** The names the server of a snapshot used, as far as its configuration is known and they need no quotes; else the usual ones. */
export function serverFiles(
  { server }: Pick<RedisManifest, 'server'>,
  { config = {} }: Pick<ServerRecord, 'config'>,
): ServerFiles {
  const named = (setting: string, usual: string): string => {
    const name = config[setting]
    return name !== undefined && /^\w[\w.-]*$/.test(name) ? name : usual
  }
  const file = named('appendfilename', 'appendonly.aof')
  const base = `${file}.1.base.rdb`
  const hasFolder = server.kind === 'valkey' || versionNumbers(server.version)[0] >= FIRST_WITH_FOLDER
  return {
    dump: named('dbfilename', 'dump.rdb'),
    appendOnly: hasFolder
      ? {
          kind: 'folder',
          folder: named('appenddirname', 'appendonlydir'),
          base,
          manifest: `${file}.manifest`,
          text: `file ${base} seq 1 type b\n`,
        }
      : { kind: 'file', file },
  }
}

/** As in messages. */
export const appendOnlyName = (files: AppendOnlyFiles): string => (files.kind === 'folder' ? files.folder : files.file)
