/**
 * The annotation in which a node keeps when its module was seen loaded: in which boot, by which start of the loader container.
 *
 * A bootID alone cannot tell: after a reboot the API still shows the old boot's pod as Ready until the kubelet reports, beside a
 * node that has the new bootID already. Only a container that is not the one seen in the old boot proves a load in the new one.
 */
export interface LoadedRecord {
  readonly bootID: string;
  readonly instance: string;
  /** Set while the operator replaces the loader pod of this node: RFC 3339, when that began. */
  readonly replacingSince?: string;
  /** Set while the node is in another boot and its pod still shows this container: that boot, and when (RFC 3339) that was first seen. */
  readonly reboot?: { readonly bootID: string; readonly seenAt: string };
}

export function formatLoadedRecord(record: LoadedRecord): string {
  const parts = [`boot=${record.bootID}`, `container=${record.instance}`];
  if (record.replacingSince !== undefined) parts.push(`replacing=${record.replacingSince}`);
  if (record.reboot !== undefined) parts.push(`reboot=${record.reboot.bootID}@${record.reboot.seenAt}`);
  return parts.join(',');
}

/** Gives undefined for a value that is missing or not of the form above: an edited annotation is as good as none. */
export function parseLoadedRecord(value: string | undefined): LoadedRecord | undefined {
  if (value === undefined) return undefined;
  const fields = new Map(
    value.split(',').map((part): [string, string] => {
      const at = part.indexOf('=');
      return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
    }),
  );
  const bootID = fields.get('boot');
  const instance = fields.get('container');
  if (bootID === undefined || instance === undefined) return undefined;
  const replacingSince = fields.get('replacing');
  const reboot = parseReboot(fields.get('reboot'));
  return {
    bootID,
    instance,
    ...(replacingSince === undefined ? {} : { replacingSince }),
    ...(reboot === undefined ? {} : { reboot }),
  };
}

function parseReboot(value: string | undefined): LoadedRecord['reboot'] {
  const at = value?.lastIndexOf('@') ?? -1;
  return value === undefined || at < 0 ? undefined : { bootID: value.slice(0, at), seenAt: value.slice(at + 1) };
}
