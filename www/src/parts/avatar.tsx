import { colourOf, initials } from "../people/colours.js";

interface AvatarProps {
  readonly name: string;
  readonly colour: number;
  readonly note?: string | undefined;
}

/** Somebody's face: letters on their colour. */
export function Avatar({ name, colour, note }: AvatarProps) {
  const title = note ? `${name}, ${note}` : name;
  return (
    <span
      className="avatar"
      style={{ backgroundColor: colourOf(colour) }}
      role="img"
      aria-label={title}
      title={title}
      data-initials={initials(name)}
    />
  );
}
