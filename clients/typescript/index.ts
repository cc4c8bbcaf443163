/**
 * `paxosd/client`: a client of a paxosd cluster, and a kit for applications that a cluster runs (clients/README.md).
 * It needs nothing of paxosd itself.
 */
export { Client, type Answer, type ClientOptions, type RequestOptions, type Session } from './client.js';
export {
  certaintyOf,
  DefiniteError,
  ERROR_CODES,
  ExecutedError,
  LOCAL_CODES,
  RequestError,
  UnknownOutcomeError,
  type Asked,
  type Certainty,
} from './errors.js';
export { AppError, readAppAddress, runApp, serveApp, type AppHandler, type AppRequest } from './app.js';
export {
  formatServer,
  isLoggable,
  MAX_VALUE_COST,
  parseServers,
  valueCost,
  type ServerAddress,
} from './messages.js';
export { decodeKvAnswer, encodeKvRequest, KvError, KvStore, type KvAnswer, type KvRequest } from './kv.js';
