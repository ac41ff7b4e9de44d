import type { KitFacts } from './kit.ts'

/** What stands on a page for people, above what is for the program. */
export function instructions(facts: KitFacts, page?: number): readonly string[] {
  const { kit, made, locations, keyId, shares } = facts
  const total = shares?.digests.length
  const location = locations[0] ?? 'LOCATION'
  return [
    `# Recovery kit ${kit}${page === undefined ? '' : `, page ${page} of ${total}`}`,
    '',
    shares === undefined
      ? 'With its passphrase, this page opens a repository of backups. Keep it on paper or on a medium'
      : `Any ${shares.needed} of the ${total} pages of this kit open a repository of backups. Give them to different people, on paper`,
    shares === undefined
      ? 'away from the machines that are backed up, and the passphrase somewhere else.'
      : 'or on media away from the machines that are backed up. Fewer pages tell nothing.',
    '',
    `Made ${made}. The repository is at:`,
    '',
    ...locations.map((place) => `    ${place}`),
    '',
    '## To restore, with Holdfast',
    '',
    ...(shares === undefined
      ? [
          'Save this page as a file, the part below as it is, and run:',
          '',
          `    holdfast key import --output password kit-${kit}.txt`,
        ]
      : [
          `Save ${shares.needed} pages as files, by scanning or by typing the lines between BEGIN and END, and run:`,
          '',
          `    holdfast key import --output password PAGE1 PAGE2${shares.needed > 2 ? ' ...' : ''}`,
        ]),
    '',
    'It checks the kit, opens the repository, and writes its password to the file "password". Then:',
    '',
    `    holdfast -r ${location} --password-file password snapshots`,
    `    holdfast -r ${location} --password-file password restore latest --target /restored`,
    '',
    ...(shares === undefined
      ? [
          '## To restore, with other programs only',
          '',
          'Save the part between BEGIN AGE and END AGE as kit.age. https://age-encryption.org opens it with the passphrase,',
          'https://restic.net reads the repository:',
          '',
          '    age --decrypt --output password kit.age',
        ]
      : [
          '## To restore, with restic',
          '',
          'Once Holdfast has put the pages together, https://restic.net reads the repository:',
          '',
        ]),
    `    restic -r ${location} --password-file password snapshots`,
    '',
    `When this kit was lost or stolen, take its effect away with: holdfast key remove ${keyId.slice(0, 8)}`,
    'It still opens copies of the repository that were made before.',
    '',
  ]
}
