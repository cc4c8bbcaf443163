import { execFileSync } from 'node:child_process';

/** The commit that is checked out, for a report that says what was run; 'unknown' outside of a repository. */
export function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8', stdio: 'pipe' }).trim();
  } catch {
    return 'unknown';
  }
}
