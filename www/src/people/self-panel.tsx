import { useEffect, useRef } from "react";
import { Icon } from "../parts/icon.js";
import { useTheme } from "../parts/theme.js";
import { COLOURS } from "./colours.js";
import { MAX_NAME, setSelf, useSelf } from "./self.js";

/** One's own name and colour. */
export function SelfPanel() {
  const self = useSelf();
  const [theme, switchTheme] = useTheme();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // Another tab may have changed it.
    if (input.current && document.activeElement !== input.current) input.current.value = self.name;
  }, [self.name]);
  const rename = (): void => {
    if (!input.current) return;
    const name = input.current.value.trim();
    if (name) setSelf({ ...self, name });
    else input.current.value = self.name;
  };
  return (
    <div className="self-panel">
      <label>
        <span className="label">Your name, as others see it</span>
        <input
          ref={input}
          maxLength={MAX_NAME}
          defaultValue={self.name}
          data-testid="self-name"
          autoComplete="nickname"
          onBlur={rename}
          onKeyDown={(event) => {
            if (event.key === "Enter") rename();
          }}
        />
      </label>
      <fieldset className="swatches">
        <legend className="label">Your colour</legend>
        {COLOURS.map(({ name, value }, index) => (
          <label key={name} className="swatch" style={{ backgroundColor: value }} title={name}>
            <input
              type="radio"
              name="colour"
              aria-label={name}
              checked={self.colour === index}
              onChange={() => setSelf({ ...self, colour: index })}
            />
          </label>
        ))}
      </fieldset>
      <button type="button" className="menu-item" onClick={switchTheme}>
        <Icon name={theme === "dark" ? "sun" : "moon"} />
        {theme === "dark" ? "Use light colours" : "Use dark colours"}
      </button>
    </div>
  );
}
