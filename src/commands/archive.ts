import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

export interface ArchiveFile {
  readonly path: string;
  readonly text: string;
}

/** Files in a new archive are readable by whoever may read the archive. */
const FILE_MODE = 0o644;

/**
 * Writes the files into a new .tar.gz, each below `folder`, and gives how many there are. The archive itself only its owner may read.
 * @throws Error when `path` exists already or cannot be written; what the files' source throws
 */
export async function writeArchive(path: string, folder: string, files: AsyncIterable<ArchiveFile>): Promise<number> {
  const archive = pack();
  let count = 0;
  const filling = (async () => {
    try {
      for await (const { path: name, text } of files) {
        await new Promise<void>((resolve, reject) => {
          archive.entry({ name: `${folder}/${name}`, mode: FILE_MODE, mtime: new Date() }, text, (error) =>
            error === null || error === undefined ? resolve() : reject(error),
          );
        });
        count++;
      }
      archive.finalize();
    } catch (error) {
      archive.destroy(error instanceof Error ? error : new Error(String(error)));
      throw error;
    }
  })();
  const writing = pipeline(archive, createGzip(), createWriteStream(path, { flags: 'wx', mode: 0o600 }));
  // Whichever fails first ends the other; its error is the one that says why.
  const [filled, written] = await Promise.allSettled([filling, writing]);
  if (written.status === 'rejected' && filled.status === 'fulfilled') throw written.reason;
  if (filled.status === 'rejected') throw written.status === 'rejected' ? written.reason : filled.reason;
  return count;
}
