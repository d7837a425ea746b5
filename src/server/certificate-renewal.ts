/** Replaces the certificate of a server that runs longer than its certificate lasts. */
import type { Clock } from "../base/runtime.ts";
import type { TlsCertificate } from "./listen.ts";
import { errorFields, type Log } from "./log.ts";

/** How often to look; a certificate has days to go when it is due. Timers cannot wait for a year. */
const INTERVAL_MS = 60 * 60 * 1000;

export interface RenewedCertificate extends TlsCertificate {
  /** When to replace it. */
  readonly renewAt: Date;
}

export interface CertificateRenewalOptions {
  /** When to replace the certificate that is shown now. */
  readonly renewAt: Date;
  /** Makes the next certificate. */
  readonly issue: () => Promise<RenewedCertificate>;
  /** Shows it. */
  readonly show: (certificate: TlsCertificate) => void;
  readonly now: Clock;
  readonly log: Log;
  /** Milliseconds between two looks at the clock. */
  readonly intervalMs?: number;
}

/** Looks every hour whether the certificate is due. One that cannot be made is tried again at the next look. */
export function startCertificateRenewal(options: CertificateRenewalOptions): () => Promise<void> {
  const { issue, show, now, log } = options;
  let { renewAt } = options;
  let running = Promise.resolve();
  const renew = async (): Promise<void> => {
    if (now() < renewAt) return;
    try {
      const next = await issue();
      show(next);
      renewAt = next.renewAt;
      log.info({ renewAt: renewAt.toISOString() }, "the server's certificate was renewed");
    } catch (error) {
      log.error(errorFields(error), "the server's certificate could not be renewed");
    }
  };
  const timer = setInterval(() => {
    running = running.then(renew);
  }, options.intervalMs ?? INTERVAL_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    return running;
  };
}
