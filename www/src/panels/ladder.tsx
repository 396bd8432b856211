import type { Rung, SyncStatus } from "rejoin";
import { Icon, type IconName } from "../parts/icon.js";

const STEPS: readonly (readonly [rung: Rung, icon: IconName, name: string])[] = [
  ["local", "memory", "In memory"],
  ["saved", "device", "On this device"],
  ["sent", "sent", "Sent"],
  ["acknowledged", "check", "On the server"],
];

/** The four rungs that a change climbs, and how many changes stand on each. */
export function Ladder({ status }: { readonly status: SyncStatus }) {
  const lowest = STEPS.findIndex(([rung]) => rung === status.rung);
  return (
    <ol className="ladder" aria-hidden="true">
      {STEPS.map(([rung, icon, name], index) => {
        const changes = rung === "acknowledged" ? 0 : status[rung].changes;
        return (
          <li key={rung} className={index <= lowest ? "reached" : ""} title={name}>
            <Icon name={icon} />
            {changes > 0 && <span>{changes}</span>}
          </li>
        );
      })}
    </ol>
  );
}
