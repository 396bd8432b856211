import { Icon } from "../parts/icon.js";
import { useTheme } from "../parts/theme.js";
import { COLOURS } from "./colours.js";
import { MAX_NAME, setSelf, useSelf } from "./self.js";

/** One's own name and colour. */
export function SelfPanel() {
  const self = useSelf();
  const [theme, switchTheme] = useTheme();
  return (
    <div className="self-panel">
      <label>
        <span className="label">Your name, as others see it</span>
        <input
          maxLength={MAX_NAME}
          defaultValue={self.name}
          key={self.name}
          data-testid="self-name"
          autoComplete="nickname"
          onBlur={({ currentTarget }) => {
            const name = currentTarget.value.trim();
            if (name) setSelf({ ...self, name });
            else currentTarget.value = self.name;
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") event.currentTarget.blur();
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
