import { commandPath } from '../command-path.ts'

/** Debian's ceph-mon, ceph-osd, radosgw and ceph-common have them. */
const PROGRAMS = ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph', 'ceph-authtool', 'monmaptool', 'radosgw-admin']

export const hasCeph = (): boolean => PROGRAMS.every((name) => commandPath(name) !== undefined)
