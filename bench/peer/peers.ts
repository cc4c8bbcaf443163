import type { Context } from '../context.js';
import { startEtcd } from './etcd.js';
import { BARE, CHECKED, PathPeer, UNCHECKED } from './paths.js';
import type { Peer } from './peer.js';

/** What `--peer` knows. */
export const PEER_NAMES = ['etcd', 'bare', 'unchecked', 'checked'] as const;

export type PeerName = (typeof PEER_NAMES)[number];

export function isPeerName(name: string): name is PeerName {
  return PEER_NAMES.some((known) => known === name);
}

/** Starts another system with its data in `folder`; resolves with a line that says what is missing if it can't be had. */
export function startPeer(name: PeerName, folder: string, context: Context): Promise<Peer | string> {
  switch (name) {
    case 'etcd':
      return startEtcd(folder);
    case 'bare':
      return PathPeer.start(BARE, folder, context);
    case 'unchecked':
      return PathPeer.start(UNCHECKED, folder, context);
    case 'checked':
      return PathPeer.start(CHECKED, folder, context);
  }
}
