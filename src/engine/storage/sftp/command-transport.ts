import { HoldfastError } from '../../../lib/errors.ts'
import { type ChildOptions, startChild } from '../child-stream.ts'
import type { SftpTransport } from './sftp-client.ts'

/** A command whose standard input and output are those of an SFTP server, such as `ssh host -s sftp`. */
export async function dialCommand(options: ChildOptions): Promise<SftpTransport> {
  const child = await startChild(options)
  return {
    stream: child.stream,
    closed: child.ended,
    setBusy: child.setBusy,
    explain: async () => {
      await child.close()
      const how = await child.ended
      const said = child.said === '' ? 'it said nothing' : `it said: ${child.said}`
      return new CommandEnded(`${options.program} ended with ${how}; ${said}`)
    },
    close: child.close,
  }
}

/** The command ended: before there was a conversation by a mistake, later by the loss of a connection. */
export class CommandEnded extends Error {}

export const commandFailure = ({ message }: CommandEnded, wasReached: boolean): HoldfastError =>
  new HoldfastError('HF_STORAGE_UNREACHABLE', message, {
    retry: wasReached ? 'later' : 'after-fix',
    hint: 'What the command says tells what is wrong. It cannot ask for a password: use a key, and an agent when it has a passphrase.',
  })
