-- What is known of an instance's health has a third word, so that a restart while all are unhealthy leaves them in rotation.
ALTER TABLE instances ADD COLUMN health TEXT NOT NULL DEFAULT 'unknown';  -- unknown, healthy, unhealthy (was healthy once)
UPDATE instances SET health = 'healthy' WHERE healthy <> 0;
ALTER TABLE instances DROP COLUMN healthy;
