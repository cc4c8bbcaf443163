/** The loopback and its free ports, which the bench needs as the tests do. */
export { LOOPBACK } from '../../bench/paths.js';
export { freePorts } from '../../bench/ports.js';
