import { canReachByDescriptor } from './at-portable.ts'
import { libc } from './libc.ts'

/**
 * What does not work on this machine because Node has no call for it and the C library cannot be called, each in words for a warning that is
 * given once; empty where everything works.
 */
export function missingFeatures(): string[] {
  if (libc()) return []
  return [
    'extended attributes and access control lists are neither saved nor restored',
    'times are restored to the microsecond only',
    'devices, fifos and sockets are not restored',
    'holes of sparse files are read as zeros',
    'users and groups that are not in /etc/passwd and /etc/group have no name',
    ...(canReachByDescriptor()
      ? []
      : [
          'a folder that somebody else replaces by a link during a restore is not noticed: restore where only you can write',
        ]),
  ]
}
