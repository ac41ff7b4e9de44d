import { HoldfastError } from '../../../lib/errors.ts'

/** What `backup_label` says; PostgreSQL documentation, "Making a Base Backup Using the Low Level API". */
export interface BackupLabel {
  /** Where recovery begins. */
  readonly start: string
  /** Name of the segment it begins in. */
  readonly segment: string
  readonly timeline: number
  /** An increment of another backup, which no server starts on. */
  readonly isIncrement: boolean
}

const START = /^START WAL LOCATION: ([0-9A-F]{1,8}\/[0-9A-F]{1,8}) \(file ([0-9A-F]{24})\)$/m
const TIMELINE = /^START TIMELINE: ([0-9]{1,10})$/m
const CHECKPOINT = /^CHECKPOINT LOCATION: [0-9A-F]{1,8}\/[0-9A-F]{1,8}$/m

/** @throws HoldfastError HF_DATA_DAMAGED when it is not of the form servers write */
export function parseBackupLabel(text: string): BackupLabel {
  const [, start, segment] = START.exec(text) ?? []
  const [, timeline] = TIMELINE.exec(text) ?? []
  if (start === undefined || segment === undefined || timeline === undefined || !CHECKPOINT.test(text))
    throw new HoldfastError('HF_DATA_DAMAGED', 'backup_label is not of the form a server writes')
  return { start, segment, timeline: Number(timeline), isIncrement: /^INCREMENTAL FROM/m.test(text) }
}
