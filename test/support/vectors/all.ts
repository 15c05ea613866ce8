import { admissionVectors, frontierVectors } from './admission.ts';
import { attachmentVectors } from './attachments.ts';
import { digestTreeVectors, exportVectors, feedFileVectors } from './carriers.ts';
import { checkpointVectors } from './checkpoints.ts';
import { contractVectors } from './contracts.ts';
import { dealNoteVectors } from './deal-note.ts';
import {
  changeVectors,
  contentIdVectors,
  digestVectors,
  genesisVectors,
  recordVectors,
  refusedChangeVectors,
} from './documents.ts';
import { floorVectors } from './floors.ts';
import { frontierDigestVectors } from './frontier-digests.ts';
import {
  auditVectors,
  conversationVectors,
  geofenceVectors,
  priceCellVectors,
  trendVectors,
} from './market.ts';
import { rangeFrameVectors } from './range-frames.ts';
import { rangeRequestVectors } from './range-requests.ts';
import { ratingVectors } from './ratings.ts';
import { rotationVectors } from './rotations.ts';
import { erasureVectors, identityProofVectors, requestVectors, withdrawalVectors } from './statements.ts';
import { envelopeVectors, signatureVectors } from './signatures.ts';
import { snapshotVectors } from './snapshots.ts';
import {
  cborVectors,
  entryVectors,
  headerVectors,
  identityVectors,
  keyVectors,
  messageVectors,
} from './wire.ts';

/** The text of `protocols/vectors.json`: everything an implementation can check its bytes against. The same every time. */
export function vectorsText(): string {
  const vectors = {
    about:
      'Test vectors of the Agrinet wire format; protocols/README.md explains them. Bytes are hex. Generated: node test/support/make-vectors.ts',
    identities: identityVectors(),
    signatures: signatureVectors(),
    cbor: cborVectors(),
    recordKeys: keyVectors(),
    envelopes: envelopeVectors(),
    headers: headerVectors(),
    entries: entryVectors(),
    admission: admissionVectors(),
    frontiers: frontierVectors(),
    frontierDigests: frontierDigestVectors(),
    erasures: erasureVectors(),
    checkpoints: checkpointVectors(),
    contentIds: contentIdVectors(),
    genesis: genesisVectors(),
    changes: changeVectors(),
    refusedChanges: refusedChangeVectors(),
    records: recordVectors(),
    floors: floorVectors(),
    digest: digestVectors(),
    digestTree: digestTreeVectors(),
    messages: messageVectors(),
    rangeRequests: rangeRequestVectors(),
    rangeFrames: rangeFrameVectors(),
    attachments: attachmentVectors(),
    snapshots: snapshotVectors(),
    feedFile: feedFileVectors(),
    requests: requestVectors(),
    identityProofs: identityProofVectors(),
    withdrawals: withdrawalVectors(),
    rotations: rotationVectors(),
    export: exportVectors(),
    contracts: contractVectors(),
    dealNotes: dealNoteVectors(),
    ratings: ratingVectors(),
    trends: trendVectors(),
    priceCells: priceCellVectors(),
    geofence: geofenceVectors(),
    conversations: conversationVectors(),
    audit: auditVectors(),
  };
  return `${JSON.stringify(vectors, undefined, 2)}\n`;
}
